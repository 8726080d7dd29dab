module divider (
  input  logic        clk,
  input  logic        rst_n,
  input  logic        in_valid,
  output logic        in_ready,
  input  logic [15:0] dividend,
  input  logic [7:0]  divisor,
  output logic        out_valid,
  input  logic        out_ready,
  output logic [15:0] quotient,
  output logic [7:0]  remainder,
  output logic        by_zero
);
  localparam logic [1:0] IDLE = 2'd0, WORK = 2'd1, HOLD = 2'd2;

  logic [1:0] state;
  logic [3:0] count;
  logic [7:0] by;
  logic [8:0] shifted, reduced;
  logic       fits, unused;

  // one bit of the quotient: the remainder takes the next bit of the dividend, which moves out of the quotient
  assign shifted = {remainder, quotient[15]};
  assign fits    = shifted >= {1'b0, by};
  assign reduced = fits ? shifted - {1'b0, by} : shifted;
  assign unused  = reduced[8];

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      state     <= IDLE;
      count     <= 4'd0;
      by        <= 8'd0;
      quotient  <= 16'd0;
      remainder <= 8'd0;
      by_zero   <= 1'b0;
    end else begin
      case (state)
        IDLE: begin
          if (in_valid) begin
            count     <= 4'd0;
            by        <= divisor;
            by_zero   <= divisor == 8'd0;
            quotient  <= divisor == 8'd0 ? 16'hffff : dividend;
            remainder <= divisor == 8'd0 ? dividend[7:0] : 8'd0;
            state     <= divisor == 8'd0 ? HOLD : WORK;
          end
        end
        WORK: begin
          quotient  <= {quotient[14:0], fits};
          remainder <= reduced[7:0];
          count     <= count + 4'd1;
          if (count == 4'd15) state <= HOLD;
        end
        default: begin
          if (out_ready) state <= IDLE;
        end
      endcase
    end
  end

  assign in_ready  = state == IDLE;
  assign out_valid = state == HOLD;
endmodule
