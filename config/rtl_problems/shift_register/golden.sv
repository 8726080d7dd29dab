module shift_register (
  input  logic       clk,
  input  logic       rst_n,
  input  logic [1:0] operation,
  input  logic       serial_in,
  input  logic [7:0] parallel_in,
  output logic [7:0] value,
  output logic       serial_out
);
  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      value <= 8'd0;
    end else begin
      case (operation)
        2'd1:    value <= {serial_in, value[7:1]};
        2'd2:    value <= {value[6:0], serial_in};
        2'd3:    value <= parallel_in;
        default: value <= value;
      endcase
    end
  end

  assign serial_out = (operation == 2'd1 && value[0]) || (operation == 2'd2 && value[7]);
endmodule
