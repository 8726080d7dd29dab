module pwm (
  input  logic       clk,
  input  logic       rst_n,
  input  logic [7:0] duty,
  output logic       pulse,
  output logic       period_start
);
  logic [7:0] counter, active;

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      counter <= 8'd0;
      active  <= 8'd0;
    end else begin
      counter <= counter + 8'd1;
      if (counter == 8'hff) active <= duty;
    end
  end

  assign pulse        = counter < active;
  assign period_start = counter == 8'd0;
endmodule
