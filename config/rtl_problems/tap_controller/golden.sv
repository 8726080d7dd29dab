module tap_controller (
  input  logic       tck,
  input  logic       trst_n,
  input  logic       tms,
  output logic [3:0] state,
  output logic       shift_dr,
  output logic       update_dr,
  output logic       shift_ir,
  output logic       update_ir
);
  logic [3:0] next;

  always_comb begin
    case (state)
      4'd0:  next = tms ? 4'd0 : 4'd1;
      4'd1:  next = tms ? 4'd2 : 4'd1;
      4'd2:  next = tms ? 4'd9 : 4'd3;
      4'd3:  next = tms ? 4'd5 : 4'd4;
      4'd4:  next = tms ? 4'd5 : 4'd4;
      4'd5:  next = tms ? 4'd8 : 4'd6;
      4'd6:  next = tms ? 4'd7 : 4'd6;
      4'd7:  next = tms ? 4'd8 : 4'd4;
      4'd8:  next = tms ? 4'd2 : 4'd1;
      4'd9:  next = tms ? 4'd0 : 4'd10;
      4'd10: next = tms ? 4'd12 : 4'd11;
      4'd11: next = tms ? 4'd12 : 4'd11;
      4'd12: next = tms ? 4'd15 : 4'd13;
      4'd13: next = tms ? 4'd14 : 4'd13;
      4'd14: next = tms ? 4'd15 : 4'd11;
      default: next = tms ? 4'd2 : 4'd1;
    endcase
  end

  always_ff @(posedge tck or negedge trst_n) begin
    if (!trst_n) state <= 4'd0;
    else state <= next;
  end

  always_ff @(negedge tck or negedge trst_n) begin
    if (!trst_n) begin
      update_dr <= 1'b0;
      update_ir <= 1'b0;
    end else begin
      update_dr <= state == 4'd8;
      update_ir <= state == 4'd15;
    end
  end

  assign shift_dr = state == 4'd4;
  assign shift_ir = state == 4'd11;
endmodule
